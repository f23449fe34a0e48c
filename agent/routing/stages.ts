/** A part that is started or stopped with the router. */
export interface Stage {
  readonly start?: () => void | Promise<void>;
  readonly stop?: () => void | Promise<void>;
}

/** Parts in the order in which they start; they stop in reverse. */
export interface Staged {
  readonly stages: readonly Stage[];
}

/**
 * Starts all stages in order. When one fails, it and those before it are stopped.
 *
 * @throws {RouterListenError} see `createNode`
 */
export async function startStages({ stages }: Staged): Promise<void> {
  await using started = new AsyncDisposableStack();
  for (const { start, stop } of stages) {
    started.defer(() => stop?.());
    await start?.();
  }
  started.move();
}

/** Stops all stages. One that fails to stop does not keep the others running: its error is thrown at the end. */
export async function stopStages({ stages }: Staged): Promise<void> {
  await using started = new AsyncDisposableStack();
  for (const { stop } of stages) started.defer(() => stop?.());
}

/** The stage of a part that has both methods. */
export function stageOf(part: Required<Stage>): Stage {
  return { start: () => part.start(), stop: () => part.stop() };
}
