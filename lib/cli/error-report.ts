import { CommandLineUsageError } from './command-line.errors.js';
import { ExitCode } from './exit-code.js';
import { type Output, styled } from './output.js';

interface Reported {
  code?: string;
  message: string;
  hint?: string;
  view?: string;
}

/** Prints what went wrong. */
export function reportError(error: unknown, output: Output, hide: (text: string) => string): void {
  const { code, message, hint, view } = reported(error);
  output.note(`${styled(output.stderr, 'red', 'error')}: ${hide(message)}`);
  if (hint !== undefined) {
    output.note(`hint: ${hide(hint)}`);
  }
  if (output.options.verbose && error instanceof Error && error.stack !== undefined) {
    output.note(hide(error.stack));
  }
  if (output.options.json) {
    const document = { code, message: hide(message), hint: hint && hide(hint), view };
    output.stdout.write(`${JSON.stringify({ error: document }, undefined, 2)}\n`);
  }
}

export function exitCodeOf(error: unknown): ExitCode {
  const isUsage =
    error instanceof CommandLineUsageError ||
    ['MV_INVALID_OPTIONS', 'MV_NOT_MATERIALIZED', 'MV_UNKNOWN_VIEW'].includes(
      reported(error).code ?? '',
    );
  return isUsage ? ExitCode.usage : ExitCode.error;
}

/** The library's errors also have the hint at the end of the message. */
function reported(error: unknown): Reported {
  if (!(error instanceof Error)) {
    return { message: String(error) };
  }
  const { code, hint, view } = error as Error & Partial<Reported>;
  // Node's error for several refusing addresses has no message.
  const text = error.message || (code ?? error.name);
  const message = hint !== undefined && text.endsWith(hint) ? text.slice(0, -hint.length) : text;
  return { code, message: message.trim(), hint, view };
}
