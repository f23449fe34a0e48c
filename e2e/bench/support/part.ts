/**
 * What downloads ask for: all of a blob but its first byte, as a header of the request. A whole blob, asked for by a
 * client that the agent does not see to verify it as it sees containerd do, goes through the agent to be hashed; what
 * is measured is the way that bytes for containerd take.
 */
export const PART = 'Range: bytes=1-';
