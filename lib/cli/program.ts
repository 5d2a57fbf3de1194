import { Command, CommanderError } from 'commander';
import type { CliCommand, CommandResult } from './cli-command.js';
import { addCommonOptions, type CommonFlags, readSettings } from './cli-options.js';
import { CliSession } from './cli-session.js';
import { loadCommands } from './commands.js';
import { exitCodeOf, reportError } from './error-report.js';
import { ExitCode } from './exit-code.js';
import { Output } from './output.js';

/** What the process gives to the program. */
export interface Surroundings {
  args: readonly string[];
  version: string;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  workingDirectory: string;
  /** Aborted when the user interrupts. */
  signal: AbortSignal;
}

/** Runs the command that the arguments name. Never throws. */
export async function runProgram(surroundings: Surroundings): Promise<ExitCode> {
  let exitCode: ExitCode = ExitCode.ok;
  const program = new Command('matviews')
    .description('PostgreSQL materialized views of a TypeORM data source.')
    .version(surroundings.version)
    .showHelpAfterError('(see --help)');
  for (const command of await loadCommands(surroundings.args)) {
    const defined = addCommonOptions(command.define()).copyInheritedSettings(program);
    defined.action(async () => {
      exitCode = await runCommand(command, defined, surroundings);
    });
    program.addCommand(defined);
  }
  for (const each of [program, ...program.commands]) {
    each.exitOverride();
    each.configureOutput({ writeErr: (text) => surroundings.stderr.write(text) });
  }
  try {
    await program.parseAsync([...surroundings.args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      throw error;
    }
    if (error.exitCode === 0) {
      return ExitCode.ok;
    }
    // It has said so on stderr already.
    if (surroundings.args.includes('--json')) {
      const message = error.message.replace(/^error: /, '');
      const document = { error: { code: 'MV_USAGE', message } };
      surroundings.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
    }
    return ExitCode.usage;
  }
}

async function runCommand(
  command: CliCommand,
  defined: Command,
  { stdout, stderr, workingDirectory, signal }: Surroundings,
): Promise<ExitCode> {
  const flags = defined.opts<CommonFlags>();
  const { json = false, verbose = false } = flags;
  const output = new Output(stdout, stderr, { json, verbose });
  const settings = (): ReturnType<typeof readSettings> => readSettings(flags, workingDirectory);
  const session = new CliSession(output, signal, workingDirectory, settings);
  try {
    const running = command.run(session, defined.args, flags);
    const result = await Promise.race([running, interruption(signal)]);
    await session.close();
    if (result === undefined) {
      await running.catch(() => undefined);
      return interrupted(output);
    }
    return print(result, output);
  } catch (error) {
    await session.close().catch(() => undefined);
    if (signal.aborted) {
      return interrupted(output);
    }
    reportError(error, output, session.hide);
    return exitCodeOf(error);
  }
}

function print({ exitCode = ExitCode.ok, json, text }: CommandResult, output: Output): ExitCode {
  const shown = output.options.json ? JSON.stringify(json, undefined, 2) : text;
  output.stdout.write(shown === '' ? '' : `${shown}\n`);
  return exitCode;
}

function interruption(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

function interrupted(output: Output): ExitCode {
  output.note('Interrupted.');
  return ExitCode.interrupted;
}
