/**
 * Loaded before a program: its calendar is ahead by `E2E_CLOCK_OFFSET_MS`, as on a node whose clock is wrong, and at each
 * signal SIGUSR2 it jumps by `E2E_CLOCK_JUMP_MS`. The times of files, and the clocks that measure durations, stay as
 * they are.
 */
let offset = Number(process.env['E2E_CLOCK_OFFSET_MS'] ?? 0);
const jump = Number(process.env['E2E_CLOCK_JUMP_MS'] ?? 0);
const now = Date.now;

globalThis.Date = new Proxy(Date, {
  construct: (target, args, self) =>
    Reflect.construct(target, args.length === 0 ? [now() + offset] : args, self) as object,
  apply: () => new Date().toString(),
});
Date.now = () => now() + offset;
if (jump !== 0) {
  process.on('SIGUSR2', () => {
    offset += jump;
  });
}
