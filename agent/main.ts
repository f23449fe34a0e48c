import './app/heap-size.ts';
import './app/thread-pool.ts';
import { run } from './cli/program.ts';

process.exitCode = await run(process.argv.slice(2), process.env);
