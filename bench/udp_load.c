/* A load of UDP datagrams on one echo: keeps a number of them in flight and counts what returns.
 *
 *   udp_load PORT SECONDS [SIZE [IN_FLIGHT [one|train [FLOWS]]]]
 *
 * "one" sends each datagram as a message of its own; "train" lets the kernel cut them from one
 * message and hand them over as one (UDP_SEGMENT, UDP_GRO). Each of FLOWS sockets has its share of
 * IN_FLIGHT. A datagram that has not returned after 200 ms of silence counts as lost and is
 * replaced.
 * Prints: datagrams returned a second, datagrams lost. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { BATCH = 64, SLOT = 65536, MAX_FLOWS = 4096 };

static char payload[SLOT];
static char buffers[BATCH][SLOT + 320];
static struct pollfd flows[MAX_FLOWS];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void send_train(int fd, int count, int size)
{
    char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    struct iovec piece = {payload, (size_t)count * size};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    if (count > 1) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
        *(uint16_t *)CMSG_DATA(c) = size;
    }
    if (sendmsg(fd, &message, 0) < 0 && errno != ECONNREFUSED) {
        perror("udp_load: sendmsg");
        exit(1);
    }
}

static void send_singly(int fd, int count, int size)
{
    static struct iovec piece;
    static struct mmsghdr messages[BATCH];

    piece = (struct iovec){payload, size};
    for (int i = 0; i < count && i < BATCH; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &piece, .msg_iovlen = 1};
    while (count > 0) {
        int n = sendmmsg(fd, messages, count < BATCH ? count : BATCH, 0);
        if (n < 0 && errno != ECONNREFUSED) {
            perror("udp_load: sendmmsg");
            exit(1);
        }
        count -= n > 0 ? n : 1;
    }
}

/* How many datagrams are waiting on the socket, up to BATCH messages; they are taken. */
static int receive(int fd, int size)
{
    static struct iovec pieces[BATCH];
    static struct mmsghdr messages[BATCH];
    int datagrams = 0;

    for (int i = 0; i < BATCH; i++) {
        pieces[i] = (struct iovec){buffers[i], SLOT};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++)
        datagrams += size > 0 ? (int)((messages[i].msg_len + size - 1) / size) : 1;
    return datagrams;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr,
                "usage: udp_load PORT SECONDS [SIZE [IN_FLIGHT [one|train [FLOWS]]]]\n");
        return 2;
    }
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    double seconds = atof(argv[2]);
    int size = argc > 3 ? atoi(argv[3]) : 128;
    int in_flight = argc > 4 ? atoi(argv[4]) : 64;
    int train = argc > 5 && strcmp(argv[5], "train") == 0;
    int count = argc > 6 ? atoi(argv[6]) : 1;
    int each = in_flight / (count > 0 ? count : 1);
    int buffer = 4 << 20, on = 1;
    long returned = 0, lost = 0;

    if (count < 1 || count > MAX_FLOWS || each < 1 || each > BATCH ||
        (train && (size < 1 || size * each > 65507))) {
        fprintf(stderr, "udp_load: 1 to 4096 flows, 1 to 64 datagrams in flight each; "
                        "a train has at most 65507 bytes\n");
        return 2;
    }
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < count; i++) {
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
        if (train)
            setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
        if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server) < 0) {
            perror("udp_load: connect");
            return 1;
        }
        flows[i] = (struct pollfd){.fd = fd, .events = POLLIN};
        (train ? send_train : send_singly)(fd, each, size);
    }

    double start = now(), end = start + seconds;
    while (now() < end) {
        int ready = poll(flows, count, 200);
        for (int i = 0; i < count; i++) {
            if (ready == 0) {
                lost += each;
                (train ? send_train : send_singly)(flows[i].fd, each, size);
            } else if (flows[i].revents & (POLLIN | POLLERR)) {
                int n = receive(flows[i].fd, size);
                returned += n;
                /* A train goes out again as one even if it came back in pieces. */
                if (n > 0)
                    (train ? send_train : send_singly)(flows[i].fd, n > each ? each : n, size);
            }
        }
    }
    printf("%.0f %ld\n", returned / (now() - start), lost);
    return 0;
}
