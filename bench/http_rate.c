// Asks for PATH at a fixed rate, over kept connections, and prints how long the answers took.
// The schedule does not wait for the server: an answer's time begins when its request was due, not
// when it could be sent, so a server that stalls is not asked less while it does ("coordinated
// omission"). The time is read when the last byte of the answer has come.
//
// http_rate PORT PATH PER_SECOND SECONDS CONNECTIONS
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, MOST = 1024 };

struct connection {
    int fd;
    double due;    // when its request was due; 0 while it is idle
    size_t filled; // of an answer whose head is not whole
    size_t left;   // of the body
    char head[16384];
};

static struct connection connections[MOST];
static int idle[MOST], idle_count;
static char buffer[BUFFER];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Takes in what came; whether the answer is whole.
static int take(struct connection *c, const char *bytes, size_t count) {
    if (c->left == 0) {
        if (c->filled + count >= sizeof c->head)
            count = sizeof c->head - c->filled - 1;
        memcpy(c->head + c->filled, bytes, count);
        c->filled += count;
        c->head[c->filled] = 0;
        char *end = strstr(c->head, "\r\n\r\n");
        if (!end)
            return 0;
        char *field = strcasestr(c->head, "\r\ncontent-length:");
        if (strncmp(c->head, "HTTP/1.1 200", 12) || !field || field > end) {
            fprintf(stderr, "not an answer with a length: %.40s\n", c->head);
            exit(1);
        }
        c->left = strtoul(field + 17, NULL, 10);
        count = c->filled - (end + 4 - c->head);
        c->filled = 0;
    }
    c->left -= count < c->left ? count : c->left;
    return c->left == 0;
}

int main(int argc, char **argv) {
    if (argc != 6)
        return fprintf(stderr, "usage: http_rate PORT PATH PER_SECOND SECONDS CONNECTIONS\n"), 2;
    double rate = atof(argv[3]), seconds = atof(argv[4]);
    int count = atoi(argv[5]);
    if (count < 1 || count > MOST || rate <= 0)
        return fprintf(stderr, "1 to %d connections, a rate above 0\n", MOST), 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int poll = epoll_create1(0), on = 1;
    for (int i = 0; i < count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
            die("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
        connections[i].fd = fd;
        idle[idle_count++] = i;
    }
    char request[8192];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", argv[2]);
    size_t total = rate * seconds, sent = 0, done = 0;
    double *times = calloc(total + 1, sizeof *times), begin = now();
    // The last answers have as long again to come.
    while (done < total && now() < begin + 2 * seconds + 1) {
        while (sent < total && idle_count > 0 && begin + sent / rate <= now()) {
            struct connection *c = &connections[idle[--idle_count]];
            c->due = begin + sent++ / rate;
            if (write(c->fd, request, length) != length)
                die("write");
        }
        struct epoll_event events[64];
        // Not slept: at tens of microseconds the wake-up would be most of what is measured.
        int ready = epoll_wait(poll, events, 64, 0);
        for (int i = 0; i < ready; i++) {
            struct connection *c = &connections[events[i].data.u32];
            ssize_t came = read(c->fd, buffer, BUFFER);
            if (came <= 0)
                die("read");
            if (take(c, buffer, came)) {
                times[done++] = now() - c->due;
                idle[idle_count++] = events[i].data.u32;
            }
        }
    }
    double elapsed = now() - begin;
    if (done == 0)
        return fprintf(stderr, "no answer\n"), 1;
    qsort(times, done, sizeof *times, ascending);
    printf("p50_us=%.0f p99_us=%.0f max_us=%.0f per_second=%.0f unsent=%zu\n", times[done / 2] * 1e6,
           times[done * 99 / 100] * 1e6, times[done - 1] * 1e6, done / elapsed, total - done);
    return 0;
}
