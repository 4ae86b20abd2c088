/* The floor of a UDP echo: nothing but the system calls, blocking, in one of two ways.
 *
 *   udp_floor plain PORT   recvfrom and sendto, a datagram each
 *   udp_floor batch PORT   recvmmsg and sendmmsg, up to 64 datagrams each
 *
 * Port 0 lets the system choose; "listening udp 127.0.0.1:PORT" says which, on stderr. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 64, SLOT = 2048 };

static int bind_loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof address;
    int buffer = 4 << 20;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0) {
        perror("udp_floor: bind");
        exit(1);
    }
    getsockname(fd, (struct sockaddr *)&address, &len);
    fprintf(stderr, "listening udp 127.0.0.1:%d\n", ntohs(address.sin_port));
    return fd;
}

static void echo_plain(int fd)
{
    static char buffer[SLOT];
    struct sockaddr_in peer;

    for (;;) {
        socklen_t len = sizeof peer;
        ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &len);
        if (n >= 0)
            sendto(fd, buffer, n, 0, (struct sockaddr *)&peer, len);
    }
}

static void echo_batch(int fd)
{
    static char buffers[BATCH][SLOT];
    static struct sockaddr_in peers[BATCH];
    static struct iovec pieces[BATCH];
    static struct mmsghdr messages[BATCH];

    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            pieces[i] = (struct iovec){buffers[i], SLOT};
            messages[i].msg_hdr = (struct msghdr){
                .msg_name = &peers[i],
                .msg_namelen = sizeof peers[i],
                .msg_iov = &pieces[i],
                .msg_iovlen = 1,
            };
        }
        int received = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < received; i++)
            pieces[i].iov_len = messages[i].msg_len;
        for (int sent = 0; sent < received;) {
            int n = sendmmsg(fd, messages + sent, received - sent, 0);
            if (n < 0)
                break;
            sent += n;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: udp_floor plain|batch PORT\n");
        return 2;
    }
    int fd = bind_loopback(atoi(argv[2]));
    if (strcmp(argv[1], "batch") == 0)
        echo_batch(fd);
    else
        echo_plain(fd);
}
