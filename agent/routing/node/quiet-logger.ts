import type { ComponentLogger, Logger } from '@libp2p/interface';

const nothing = (): void => undefined;

const quiet: Logger = Object.assign(nothing, {
  error: nothing,
  trace: nothing,
  enabled: false,
  newScope: () => quiet,
});

/**
 * A logger for libp2p that logs nothing. libp2p's own loggers are costly even when they are off: it makes one for each
 * stream, and each checks whether the process has a terminal.
 */
export const quietLogger: ComponentLogger = { forComponent: () => quiet };
