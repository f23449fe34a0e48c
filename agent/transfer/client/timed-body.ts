import { Readable } from 'node:stream';

import { destroyQuietly } from '../../streams/destroy-quietly.ts';
import { SilenceTimer } from '../../timing/silence-timer.ts';
import { Silence, type SilenceInit } from '../../timing/silence.ts';
import { PeerError } from './peer-error.ts';

/**
 * A body of undici whose peer may be silent for as long as {@link Silence} says, as that of a `DirectBody`: undici itself has one
 * bound for all of a body. Only the time counts in which a reader waits.
 */
export class TimedBody extends Readable {
  /** How long the peer may be silent. */
  readonly silence: Silence;
  readonly #source: Readable;
  readonly #timer: SilenceTimer;

  /** @param source is read and destroyed by this body alone */
  constructor(source: Readable, silence: SilenceInit) {
    // A small buffer, since the source has one.
    super({ highWaterMark: 16 * 1024 });
    this.#source = source;
    this.silence = new Silence(silence);
    this.#timer = new SilenceTimer(this.silence, (patience) => {
      this.destroy(new PeerError('timeout', `no byte in ${patience} ms`));
    });
    // A reader gets the error anyway, and a body that is given up has none.
    this.on('error', () => undefined);
    source.pause();
    source.on('data', (chunk: Buffer) => {
      this.#arrived(chunk);
    });
    source.on('end', () => {
      this.#timer.stop();
      this.push(null);
    });
    source.on('error', (error) => this.destroy(error));
    source.on('close', () => {
      if (!source.readableEnded) this.destroy(new PeerError('body', 'body ended early'));
    });
  }

  override _read(): void {
    this.#timer.start();
    this.#source.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#timer.stop();
    destroyQuietly(this.#source);
    done(error);
  }

  #arrived(chunk: Buffer): void {
    this.#timer.arrived();
    if (!this.push(chunk)) this.#source.pause();
  }
}
