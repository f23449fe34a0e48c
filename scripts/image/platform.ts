/** An architecture, by its names in the projects whose parts the image contains. */
export interface Platform {
  /** Name in images and in Debian: `amd64`. */
  readonly architecture: 'amd64' | 'arm64';
  /** Name in Node.js: `x64`. */
  readonly node: 'x64' | 'arm64';
}

/** All platforms for which an image can be built. */
export const PLATFORMS: readonly Platform[] = [
  { architecture: 'amd64', node: 'x64' },
  { architecture: 'arm64', node: 'arm64' },
];

/** Parses `linux/amd64`; `undefined` if it is not one of {@link PLATFORMS}. */
export function parsePlatform(text: string): Platform | undefined {
  return PLATFORMS.find(({ architecture }) => text === `linux/${architecture}`);
}
