/** A file of the TLS options cannot be used. The message names the option, the file, the reason and what to do. */
export class TlsConfigError extends Error {
  override readonly name = 'TlsConfigError';
  readonly code = 'ERR_TLS_CONFIG';
}
