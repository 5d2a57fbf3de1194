import { toString as inWords } from 'cronstrue';
import type { DeclaredView } from '../definition/declared-view.js';
import { shownDuration } from '../definition/format.js';
import { html, type Html } from './html.js';

/** A time, exact to the second, in UTC. */
export function time(instant: Date): Html {
  const iso = instant.toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace('T', ' ')} UTC</time>`;
}

/** As in "3 min 5 s ago" or "in 2 h". */
export function relative(instant: Date): string {
  const ms = instant.getTime() - Date.now();
  return ms < 0 ? `${coarse(-ms)} ago` : `in ${coarse(ms)}`;
}

/** Tenths of a second say nothing about an age. */
export function coarse(durationMs: number): string {
  return durationMs < 60_000 ? `${Math.round(durationMs / 1_000)} s` : shownDuration(durationMs);
}

const WORDS = new Map<string, string | undefined>();

/**
 * A cron expression in words, or nothing if it can't be described. Each is parsed once, because the classes have only a
 * few.
 */
export function cronInWords({ cron }: NonNullable<DeclaredView['schedule']>): string | undefined {
  if (!WORDS.has(cron)) {
    WORDS.set(cron, wordsFor(cron));
  }
  return WORDS.get(cron);
}

function wordsFor(cron: string): string | undefined {
  try {
    return inWords(cron, { use24HourTimeFormat: true });
  } catch {
    return undefined;
  }
}
