/*
 * The system calls on descriptors that the net room uses. Contract: socket.h.
 */
#include "platform/socket.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

/* Makes a call until no signal interrupts it: its count, or a negative errno. */
#define RESTART(call)                                                                              \
    __extension__({                                                                                \
        int saved_ = errno;                                                                        \
        ssize_t rc_;                                                                               \
        do                                                                                         \
            rc_ = (call);                                                                          \
        while (rc_ < 0 && errno == EINTR);                                                         \
        if (rc_ < 0)                                                                               \
            rc_ = -errno;                                                                          \
        errno = saved_;                                                                            \
        rc_;                                                                                       \
    })

int weft__sys_socket(int family, int type)
{
    return (int)RESTART(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

int weft__sys_socket_pair(int pair[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0 ? -errno
                                                                                        : 0;
}

int weft__sys_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    return (int)RESTART(bind(fd, address, length));
}

int weft__sys_listen(int fd, int backlog)
{
    return (int)RESTART(listen(fd, backlog));
}

int weft__sys_accept(int fd)
{
    return (int)RESTART(accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

int weft__sys_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int saved = errno;
    int rc = connect(fd, address, length) == 0 ? 0 : -errno;
    errno = saved;
    /* An interrupted connect goes on by itself; asking again would say EALREADY. */
    return rc == -EINTR ? -EINPROGRESS : rc;
}

ssize_t weft__sys_recv(int fd, void *buffer, size_t size)
{
    return RESTART(recv(fd, buffer, size, 0));
}

ssize_t weft__sys_send(int fd, const void *data, size_t size)
{
    return RESTART(send(fd, data, size, MSG_NOSIGNAL));
}

/*
 * A message of the vectors. The kernel would refuse more than IOV_MAX of them; the first IOV_MAX
 * are a short transfer, which callers know. sendmsg only reads through the pointer that is not
 * const.
 */
static struct msghdr message_of(const struct iovec *vector, int count)
{
    return (struct msghdr){
        .msg_iov = (struct iovec *)vector,
        .msg_iovlen = (size_t)(count < IOV_MAX ? count : IOV_MAX),
    };
}

ssize_t weft__sys_recvv(int fd, const struct iovec *vector, int count)
{
    if (count < 0)
        return -EINVAL;
    struct msghdr message = message_of(vector, count);
    return RESTART(recvmsg(fd, &message, 0));
}

ssize_t weft__sys_sendv(int fd, const struct iovec *vector, int count)
{
    if (count < 0)
        return -EINVAL;
    struct msghdr message = message_of(vector, count);
    return RESTART(sendmsg(fd, &message, MSG_NOSIGNAL));
}

int weft__sys_shutdown_write(int fd)
{
    return (int)RESTART(shutdown(fd, SHUT_WR));
}

int weft__sys_setsockopt(int fd, int level, int name, int value)
{
    return (int)RESTART(setsockopt(fd, level, name, &value, sizeof value));
}

int weft__sys_socket_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;
    int rc = (int)RESTART(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
    return rc < 0 ? rc : -error;
}

int weft__sys_local_address(int fd, struct sockaddr_storage *address, socklen_t *length)
{
    socklen_t room = sizeof *address;
    int rc = (int)RESTART(getsockname(fd, (struct sockaddr *)address, &room));
    if (rc == 0)
        *length = room;
    return rc;
}

int weft__sys_peer_address(int fd, struct sockaddr_storage *address, socklen_t *length)
{
    socklen_t room = sizeof *address;
    int rc = (int)RESTART(getpeername(fd, (struct sockaddr *)address, &room));
    if (rc == 0)
        *length = room;
    return rc;
}

void weft__sys_close(int fd)
{
    int saved = errno;
    /* Never again after EINTR: on Linux the number is free by then, and may be another's. */
    close(fd);
    errno = saved;
}
