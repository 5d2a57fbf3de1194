import { InvalidArgumentError } from 'commander';
import { type Duration, durationMs } from '../../definition/duration.js';

/** A whole number from 1 on. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError('Expected a whole number from 1 on.');
  }
  return value;
}

/** A duration with its unit, as in 5m. */
export function duration(text: string): Duration {
  if (durationMs(text, 1) === undefined) {
    throw new InvalidArgumentError('Expected a duration with its unit, as in 30s or 5m.');
  }
  return text as Duration;
}
