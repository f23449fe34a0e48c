import type { ComponentLogger, Logger } from '@libp2p/interface';

const nothing = (): void => undefined;

const quiet: Logger = Object.assign(nothing, {
  error: nothing,
  trace: nothing,
  enabled: false,
  newScope: () => quiet,
});

/**
 * Logs nothing for libp2p, whose own loggers are costly even when they are off: one is made for each stream,
 * and each asks whether the process has a terminal.
 */
export const quietLogger: ComponentLogger = { forComponent: () => quiet };
