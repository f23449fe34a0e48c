/**
 * Loaded before a program: its calendar is ahead by `E2E_CLOCK_OFFSET_MS`, as on a node whose clock is wrong. The times
 * of files, and the clocks that measure durations, stay as they are.
 */
const offset = Number(process.env['E2E_CLOCK_OFFSET_MS']);
const now = Date.now;

globalThis.Date = new Proxy(Date, {
  construct: (target, args, self) =>
    Reflect.construct(target, args.length === 0 ? [now() + offset] : args, self) as object,
  apply: () => new Date().toString(),
});
Date.now = () => now() + offset;
