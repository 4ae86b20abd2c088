# All five programs in one image of a few megabytes: static binaries on an empty file system.
#
# The binaries are static against glibc (crt-static), which the official image can build as it is;
# musl would need a second target from the network and has a slower allocator. What static glibc
# cannot do is load NSS modules, so a name is looked up by `files` and `dns` alone: /etc/hosts and
# the resolver that Docker writes into /etc/resolv.conf, which is all that a container has.
FROM rust:1.95-bookworm AS build
WORKDIR /wirelab
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY bins bins
# The target is named so that crt-static holds for the programs and not for build scripts and
# procedural macros, which are loaded at run time.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$target" \
        --bin webserverd --bin proxyd --bin qos-client --bin ping --bin traceroute \
    && mkdir -p /out \
    && for program in webserverd proxyd qos-client ping traceroute; do \
        cp "target/$target/release/$program" /out/ && strip "/out/$program" || exit 1; \
    done

FROM scratch
LABEL org.opencontainers.image.title="Wirelab" \
      org.opencontainers.image.description="Web server, caching proxy and the tools that measure what lies between" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /out/ /usr/local/bin/
COPY www /www
# Nobody in particular: an id without a name, a home or a file of its own.
USER 65532:65532
# Where qos-client leaves its CSV file: a folder to mount.
WORKDIR /results
STOPSIGNAL SIGTERM
CMD ["webserverd", "--root", "/www", "--bind", "0.0.0.0"]
