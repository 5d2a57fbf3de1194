import { inspect } from 'node:util';
import { InvalidOptionsError } from '../errors/usage.errors.js';
import type { MaterializedViewErrorDetails } from '../errors/materialized-view.error.js';

type OptionsError = new (
  message: string,
  details?: MaterializedViewErrorDetails,
) => InvalidOptionsError;

/** The position of an option: its owner, and the path to it. All errors about options are created here. */
export class OptionPath {
  /**
   * @param subject the beginning of a message: a method, or a class's decorator
   * @param path as in `refresh.on[0]`; empty for the options as a whole
   */
  constructor(
    readonly subject: string,
    private readonly ErrorType: OptionsError = InvalidOptionsError,
    private readonly path = '',
  ) {}

  member(name: string): OptionPath {
    return this.at(this.path === '' ? name : `${this.path}.${name}`);
  }

  element(position: number): OptionPath {
    return this.at(`${this.path}[${position}]`);
  }

  /** The error for a wrong value. */
  refuse(expected: string, given: unknown, hint?: string): InvalidOptionsError {
    return this.complaint(expected, describe(given), hint);
  }

  /** The error for an unknown option. */
  unknown(known: readonly string[], meant?: string): InvalidOptionsError {
    const hint = meant === undefined ? undefined : `Did you mean \`${meant}\`?`;
    const expected = `absent: ${known.length === 0 ? 'there are no options' : `the options are ${known.join(', ')}`}`;
    return this.complaint(expected, 'an unknown option', hint);
  }

  private complaint(expected: string, given: string, hint?: string): InvalidOptionsError {
    return new this.ErrorType(
      `${this.subject}: expected \`${this.path || 'options'}\` to be ${expected}, got ${given}.`,
      { hint },
    );
  }

  private at(path: string): OptionPath {
    return new OptionPath(this.subject, this.ErrorType, path);
  }
}

const SHOWN_LENGTH = 120;

/**
 * Short for any value: an instance is shown as its class, because an entity manager would fill pages.
 */
export function describe(value: unknown): string {
  if (typeof value === 'string') {
    return shortened(JSON.stringify(value));
  }
  const depth = isPlain(value) ? 1 : -1;
  return shortened(
    inspect(value, { breakLength: Infinity, depth, maxArrayLength: 5, maxStringLength: 50 }),
  );
}

function isPlain(value: unknown): boolean {
  const { constructor } = (value ?? {}) as { constructor?: unknown };
  return constructor === Object || constructor === Array || constructor === undefined;
}

function shortened(text: string): string {
  return text.length > SHOWN_LENGTH ? `${[...text].slice(0, SHOWN_LENGTH).join('')}...` : text;
}
