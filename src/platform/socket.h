/*
 * Contract: the system calls on descriptors that the net room uses, each giving a count or a
 * negative errno, never touching the caller's errno, restarted after EINTR. Sockets are made
 * non-blocking and close-on-exec; sends never raise SIGPIPE.
 *
 * They stand here, as all system calls do, so that one place can fail or simulate them.
 */
#ifndef WEFT_PLATFORM_SOCKET_H
#define WEFT_PLATFORM_SOCKET_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

int weft__sys_socket(int family, int type);
int weft__sys_socket_pair(int pair[2]); /* of connected local stream sockets */
int weft__sys_bind(int fd, const struct sockaddr *address, socklen_t length);
int weft__sys_listen(int fd, int backlog);
int weft__sys_accept(int fd);
int weft__sys_connect(int fd, const struct sockaddr *address, socklen_t length); /* -EINPROGRESS */
ssize_t weft__sys_recv(int fd, void *buffer, size_t size);
ssize_t weft__sys_send(int fd, const void *data, size_t size);
/* Only the first IOV_MAX of `count` vectors count. */
ssize_t weft__sys_recvv(int fd, const struct iovec *vector, int count);
ssize_t weft__sys_sendv(int fd, const struct iovec *vector, int count);
int weft__sys_shutdown_write(int fd);
int weft__sys_setsockopt(int fd, int level, int name, int value);
int weft__sys_socket_error(int fd); /* SO_ERROR, negated */
int weft__sys_local_address(int fd, struct sockaddr_storage *address, socklen_t *length);
int weft__sys_peer_address(int fd, struct sockaddr_storage *address, socklen_t *length);
void weft__sys_close(int fd);

#endif
