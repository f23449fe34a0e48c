/** The file of the swarm key cannot be used. The message names the option, the file, the reason and what to do. */
export class SwarmKeyError extends Error {
  override readonly name = 'SwarmKeyError';
  readonly code = 'ERR_SWARM_KEY';
}
