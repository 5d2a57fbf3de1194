import Table from 'cli-table3';
import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

export interface OutputOptions {
  /** One document on stdout, and everything else on stderr. */
  json: boolean;
  verbose: boolean;
}

/** Where the command line writes to. */
export class Output {
  constructor(
    readonly stdout: NodeJS.WriteStream,
    readonly stderr: NodeJS.WriteStream,
    readonly options: OutputOptions,
  ) {}

  /** Whether lines can be written over. */
  get isLive(): boolean {
    return this.stderr.isTTY && process.env.TERM !== 'dumb' && process.env.CI === undefined;
  }

  /** Output besides the result. */
  note(text: string): void {
    this.stderr.write(`${text}\n`);
  }

  warn(text: string): void {
    this.note(`${styled(this.stderr, 'yellow', 'warning')}: ${text}`);
  }

  /** Colours a part of the result, if stdout is a terminal. */
  style(style: Style, text: string): string {
    return styled(this.stdout, style, text);
  }

  /** A table without lines, which `grep` and `awk` can read. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): string {
    const table = new Table({
      head: head.map((each) => this.style('bold', each)),
      chars: NO_LINES,
      style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    });
    table.push(...rows.map((row) => [...row]));
    return table
      .toString()
      .split('\n')
      .map((line) => line.trimEnd())
      .join('\n');
  }
}

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

/** Node's own check is for stdout only and depends on its version: 20 ignores NO_COLOR. */
export function styled(stream: NodeJS.WriteStream, style: Style, text: string): string {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  const isForced = FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0';
  const isColoured =
    (NO_COLOR === undefined || NO_COLOR === '') &&
    FORCE_COLOR !== '0' &&
    (isForced || (stream.isTTY && TERM !== 'dumb'));
  return isColoured ? `${open(style)}${text}${close(style)}` : text;
}

/** `styleText` has checks of its own from Node 22.13 on. */
function open(style: Style): string {
  return unchecked(style, '\0').split('\0')[0] ?? '';
}

function close(style: Style): string {
  return unchecked(style, '\0').split('\0')[1] ?? '';
}

function unchecked(style: Style, text: string): string {
  return (styleText as (...args: unknown[]) => string)(style, text, { validateStream: false });
}
