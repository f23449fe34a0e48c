/** A peer has not proved to be at an address. */
export class NotThereError extends Error {
  override readonly name = 'NotThereError';
  /** Whether another peer is there. */
  readonly isOther: boolean;

  constructor(message: string, isOther: boolean, options?: ErrorOptions) {
    super(message, options);
    this.isOther = isOther;
  }
}
