import * as real from '@multiformats/multiaddr';

export * from '@multiformats/multiaddr';

const known = new Map<string, real.Multiaddr>();

/** As the function of `@multiformats/multiaddr`, with one object for each address. */
export const multiaddr: typeof real.multiaddr = (address) => {
  if (!(address instanceof Uint8Array)) return real.multiaddr(address);
  const { buffer, byteOffset, length } = address;
  const key = Buffer.from(buffer, byteOffset, length).toString('latin1');
  const present = known.get(key);
  if (present !== undefined) return present;
  const made = real.multiaddr(address);
  known.set(key, made);
  return made;
};
