#!/usr/bin/env node
import { createRequire } from 'node:module';
import { ExitCode } from './exit-code.js';
import { runProgram } from './program.js';

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // Who asks twice does not want to wait for the database.
    if (interruption.signal.aborted) {
      process.exit(ExitCode.interrupted);
    }
    interruption.abort();
  });
}
// Whoever reads has gone, as `head` does.
process.stdout.on('error', () => process.exit());

const args = process.argv.slice(2);
const stdout = args.includes('--json') ? documentStream() : process.stdout;
const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string };
const exitCode = await runProgram({
  args,
  version,
  stdout,
  stderr: process.stderr,
  workingDirectory: process.cwd(),
  signal: interruption.signal,
});
// What the data source's file has opened may keep the process alive.
stdout.write('', () => process.exit(exitCode));

/** What the data source's file prints goes to stderr, so that the document stays alone. */
function documentStream(): NodeJS.WriteStream {
  const write = process.stdout.write.bind(process.stdout);
  const stream = Object.create(process.stdout, { write: { value: write } }) as NodeJS.WriteStream;
  process.stdout.write = process.stderr.write.bind(process.stderr);
  return stream;
}
