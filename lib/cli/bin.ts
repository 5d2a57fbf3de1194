#!/usr/bin/env node
import { createRequire } from 'node:module';
import { reportError } from './error-report.js';
import { ExitCode } from './exit-code.js';
import { Output } from './output.js';
import { passwordHider } from './passwords.js';
import { runProgram } from './program.js';

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // A second Ctrl-C means not waiting for the database.
    if (interruption.signal.aborted) {
      process.exit(ExitCode.interrupted);
    }
    interruption.abort();
  });
}
// The reader has gone, as `head` does.
process.stdout.on('error', () => process.exit());
// Work goes on without a reader of its notes.
process.stderr.on('error', () => undefined);

const args = process.argv.slice(2);
const stdout = args.includes('--json') ? documentStream() : process.stdout;
process.on('uncaughtException', (error) => {
  const options = { json: args.includes('--json'), verbose: args.includes('--verbose') };
  reportError(error, new Output(stdout, process.stderr, options), passwordHider());
  process.exit(ExitCode.error);
});
const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string };
const exitCode = await runProgram({
  args,
  version,
  stdout,
  stderr: process.stderr,
  workingDirectory: process.cwd(),
  signal: interruption.signal,
});
// Something that the data source's file opened may keep the process alive.
stdout.write('', () => process.exit(exitCode));

/** Output of the data source's file goes to stderr, so that stdout has only the document. */
function documentStream(): NodeJS.WriteStream {
  const write = process.stdout.write.bind(process.stdout);
  const stream = Object.create(process.stdout, { write: { value: write } }) as NodeJS.WriteStream;
  process.stdout.write = process.stderr.write.bind(process.stderr);
  return stream;
}
