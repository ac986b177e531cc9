/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sending pages through a kernel socket, as the kernel at hand does it.
 *
 *  6.5	->sendpage() is gone; MSG_SPLICE_PAGES does the same
 */
#ifndef _FLINT_COMPAT_SOCK_H
#define _FLINT_COMPAT_SOCK_H

#include <net/tcp.h>

/* A piece of one page, copied. Under the socket's lock. Return: bytes taken or -errno. */
static inline int flint_sock_copy_page(struct sock *sk, struct page *page, u32 off, u32 len,
				       int flags)
{
	struct bio_vec bv = { .bv_page = page, .bv_offset = off, .bv_len = len };
	struct msghdr msg = { .msg_flags = flags };

	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, &bv, 1, len);
	return tcp_sendmsg_locked(sk, &msg, len);
}

/*
 * The same without a copy where that can be: the socket takes a reference on the page, which
 * therefore must not change before the peer has answered.
 */
static inline int flint_sock_send_page(struct sock *sk, struct page *page, u32 off, u32 len,
				       int flags)
{
	if (!sendpage_ok(page))
		return flint_sock_copy_page(sk, page, off, len, flags);
#ifdef MSG_SPLICE_PAGES
	return flint_sock_copy_page(sk, page, off, len, flags | MSG_SPLICE_PAGES);
#else
	if (flags & MSG_MORE)
		flags |= MSG_SENDPAGE_NOTLAST;
	return kernel_sendpage_locked(sk, page, off, len, flags);
#endif
}

#endif /* _FLINT_COMPAT_SOCK_H */
