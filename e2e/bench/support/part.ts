/**
 * The range of downloads: all of a blob but its first byte. The agent hashes a whole blob for a client that it does not
 * see verifying it, as it sees containerd. The bench measures the way of bytes for containerd, which are not hashed; only
 * `proxy-whole` measures the other.
 */
export const PART = 'Range: bytes=1-';
