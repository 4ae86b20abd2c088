/* The floor of an HTTP server: one epoll loop that reads, finds the end of each head and writes a
 * constant answer. It parses nothing else and has no deadlines.
 *
 *   http_floor PORT BODY_BYTES CACHE_CONTROL
 *
 * Also the origin behind the proxies under test, for which CACHE_CONTROL says what they may store. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FILES = 20000, EVENTS = 256, HEAD = 16384 };

struct connection {
    /* How much of "\r\n\r\n" the bytes so far end with. */
    int matched;
    /* Answers owed, and how much of the first of them is written. */
    int owed;
    size_t written;
};

static struct connection connections[MAX_FILES];
static char *answer;
static size_t answer_len;

static int listen_loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, 4096) < 0) {
        perror("http_floor: listen");
        exit(1);
    }
    return fd;
}

static void make_answer(size_t body, const char *cache_control)
{
    char date[64], head[512];
    time_t now = time(NULL);

    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
    int len = snprintf(head, sizeof head,
                       "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: text/html\r\n"
                       "Content-Length: %zu\r\nCache-Control: %s\r\n\r\n",
                       date, body, cache_control);
    answer_len = (size_t)len + body;
    answer = malloc(answer_len);
    memcpy(answer, head, len);
    memset(answer + len, 'x', body);
}

/* Writes what is owed; 0 if the connection is broken. */
static int pay(int fd)
{
    struct connection *c = &connections[fd];

    while (c->owed > 0) {
        ssize_t n = write(fd, answer + c->written, answer_len - c->written);
        if (n < 0)
            return errno == EAGAIN;
        c->written += n;
        if (c->written == answer_len) {
            c->written = 0;
            c->owed--;
        }
    }
    return 1;
}

/* Reads what has come and counts the heads that end in it; 0 if the connection has ended. */
static int serve(int fd)
{
    static char head[HEAD];
    struct connection *c = &connections[fd];
    ssize_t n = read(fd, head, sizeof head);

    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    for (ssize_t i = 0; i < n; i++) {
        if (head[i] == "\r\n\r\n"[c->matched]) {
            if (++c->matched == 4) {
                c->owed++;
                c->matched = 0;
            }
        } else {
            c->matched = head[i] == '\r';
        }
    }
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: http_floor PORT BODY_BYTES CACHE_CONTROL\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    make_answer(strtoul(argv[2], NULL, 10), argv[3]);
    int listener = listen_loopback(atoi(argv[1])), epoll = epoll_create1(0), on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);

    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (peer < 0)
                    continue;
                if (peer >= MAX_FILES) {
                    close(peer);
                    continue;
                }
                setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                connections[peer] = (struct connection){0};
                event = (struct epoll_event){
                    .events = EPOLLIN | EPOLLOUT | EPOLLET,
                    .data.fd = peer,
                };
                epoll_ctl(epoll, EPOLL_CTL_ADD, peer, &event);
                continue;
            }
            int open = 1;
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
                open = serve(fd);
            if (!open || !pay(fd))
                close(fd);
        }
    }
}
