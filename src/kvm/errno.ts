/** The errors that KVM's calls return; numbers of Linux (asm-generic/errno.h). */
export const ERRNO = {
	ENOENT: 2,
	EINTR: 4,
	EIO: 5,
	ENXIO: 6,
	E2BIG: 7,
	EBADF: 9,
	EAGAIN: 11,
	ENOMEM: 12,
	EFAULT: 14,
	EBUSY: 16,
	EEXIST: 17,
	EINVAL: 22,
	ENOTTY: 25,
	ENOSPC: 28,
	EOPNOTSUPP: 95,
} as const;

export type Errno = keyof typeof ERRNO;

/** What a call of KVM's returns: 0 or a positive number, or the name of the error that would be its negative. */
export type KvmResult = number | Errno;

export function isErrno(result: KvmResult): result is Errno {
	return typeof result === "string";
}
