/** What an architecture is called by those whose parts the image is made of. */
export interface Platform {
  /** In images, and by Debian: `amd64`. */
  readonly architecture: 'amd64' | 'arm64';
  /** By Node.js: `x64`. */
  readonly node: 'x64' | 'arm64';
}

/** Every one that an image can be made for. */
export const PLATFORMS: readonly Platform[] = [
  { architecture: 'amd64', node: 'x64' },
  { architecture: 'arm64', node: 'arm64' },
];

/** Parses `linux/amd64`; `undefined` when it is none of {@link PLATFORMS}. */
export function parsePlatform(text: string): Platform | undefined {
  return PLATFORMS.find(({ architecture }) => text === `linux/${architecture}`);
}
