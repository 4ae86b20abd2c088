//! TLS on the server's side: a certificate chain and its key from two files, which can be read
//! again while connections come.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

/// What is spoken over TLS (RFC 7301 §6).
const ALPN: &[u8] = b"http/1.1";

/// What a TLS connection begins with (RFC 8446 §5.1: a record that is a handshake).
const HANDSHAKE: u8 = 22;

/// Where a certificate and its key are, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, then those that lead to one that clients know.
    pub certificates: PathBuf,
    /// The private key of the first.
    pub key: PathBuf,
}

/// Why TLS cannot be spoken with what is in the files.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of the kind.
    #[error("cannot read {what} from {}: {cause}", .file.display())]
    Read {
        /// What was looked for in it.
        what: &'static str,
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        cause: pem::Error,
    },
    /// There is no certificate in the file.
    #[error("there is no certificate in {}", .0.display())]
    Empty(PathBuf),
    /// What was read cannot be used, or not together.
    #[error("the key in {} is not good for the certificate in {}: {cause}", .files.key.display(), .files.certificates.display())]
    Pair {
        /// Which files.
        files: TlsFiles,
        /// What is wrong with them.
        cause: rustls::Error,
    },
    /// The library refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// What the connections of a server are encrypted with.
#[derive(Clone, Debug)]
pub struct Tls {
    files: TlsFiles,
    pair: Arc<Pair>,
    config: Arc<ServerConfig>,
}

/// The certificate and key for the next connection.
#[derive(Debug)]
struct Pair(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Pair {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pair = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&pair))
    }
}

/// Why a connection did not come to speak TLS.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The client spoke something else, perhaps HTTP. It can be answered.
    NotTls(TcpStream),
    /// It broke.
    Broken,
}

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Tls, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pair = Arc::new(Pair(RwLock::new(Arc::new(read(&files)?))));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&pair) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A client that comes back needs no whole handshake, whichever worker it comes to.
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        Ok(Tls {
            files,
            pair,
            config: Arc::new(config),
        })
    }

    /// Reads the files again, for the connections that come from now on.
    ///
    /// # Errors
    /// They are not good; what was read before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(read(&self.files)?);
        *self.pair.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let broken = |error: io::Error| {
            debug!(%error, "a TLS handshake failed");
            HandshakeError::Broken
        };
        let mut first = [0];
        if stream.peek(&mut first).await.map_err(broken)? > 0 && first != [HANDSHAKE] {
            return Err(HandshakeError::NotTls(stream));
        }
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        acceptor.accept(stream).await.map_err(broken)
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let unreadable = |what, file: &Path| {
        let file = file.to_owned();
        move |cause| TlsError::Read { what, file, cause }
    };
    let file = files.certificates.as_path();
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable("a certificate", file))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty(file.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(unreadable("a private key", &files.key))?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(certificates, key, &provider).map_err(|cause| TlsError::Pair {
        files: files.clone(),
        cause,
    })
}
