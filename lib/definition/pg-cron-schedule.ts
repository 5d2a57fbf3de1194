import type { ViewDefinition } from './view-definition.js';

/**
 * A schedule as pg_cron reads it, and as its job computes which scheduled time a run is for. An absent field means
 * every minute, hour, day, month or weekday.
 */
export interface PgCronSchedule {
  /** The five fields. */
  text: string;
  minutes?: number[];
  hours?: number[];
  days?: number[];
  months?: number[];
  /** 0 is Sunday. */
  weekdays?: number[];
}

interface Field {
  name: 'minutes' | 'hours' | 'days' | 'months' | 'weekdays';
  low: number;
  high: number;
  names?: string[];
}

const FIELDS: readonly Field[] = [
  { name: 'minutes', low: 0, high: 59 },
  { name: 'hours', low: 0, high: 23 },
  { name: 'days', low: 1, high: 31 },
  {
    name: 'months',
    low: 1,
    high: 12,
    names: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
  },
  {
    name: 'weekdays',
    low: 0,
    high: 7,
    names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'],
  },
];

/** Names that both pg_cron and `cron` know. The others, such as `@reboot`, are not times that replicas could share. */
const NICKNAMES: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/**
 * `*`, a value or a range, with an optional step except after a value: Vixie cron has nothing else.
 */
const ITEM = /^(?:\*|([a-z]+|\d+)(?:-([a-z]+|\d+))?)(?:\/(\d+))?$/;

/** Names of time zones that equal UTC. pg_cron calls its default GMT. */
const UTC_NAMES = /^(?:etc\/)?(?:utc|gmt|uct|zulu|universal|greenwich|gmt[+-]?0)$/i;

export function isUtc(timeZone: string): boolean {
  return UTC_NAMES.test(timeZone);
}

/** Whether a pg_cron job refreshes a view at its scheduled times. */
export function isByPgCron({ schedule }: Pick<ViewDefinition, 'schedule'>): boolean {
  return schedule?.scheduler === 'pg_cron';
}

/** Says why pg_cron can't run this, or not at the same times as replicas would; `undefined` if it can. */
export function pgCronProblem(expression: string): string | undefined {
  const schedule = parse(expression);
  return typeof schedule === 'string' ? schedule : undefined;
}

/** The schedule of an expression that has no problem. */
export function pgCronSchedule(expression: string): PgCronSchedule {
  const schedule = parse(expression);
  if (typeof schedule === 'string') {
    throw new Error(schedule);
  }
  return schedule;
}

function parse(expression: string): PgCronSchedule | string {
  const text = NICKNAMES[expression.trim().toLowerCase()] ?? withoutSeconds(expression.trim());
  const parts = text.split(/\s+/);
  if (parts.length === FIELDS.length + 1) {
    return 'pg_cron fires at full minutes: the seconds field can only be 0';
  }
  if (parts.length !== FIELDS.length) {
    return `pg_cron reads five fields, or one of ${Object.keys(NICKNAMES).join(', ')}`;
  }
  const values = FIELDS.map((field, position) => valuesOf(field, parts[position] ?? ''));
  const problem = values.find((each) => typeof each === 'string');
  if (problem !== undefined) {
    return problem;
  }
  const schedule = {
    ...Object.fromEntries(FIELDS.map(({ name }, position) => [name, values[position]])),
    text: parts.join(' '),
  } as PgCronSchedule;
  return schedule.days && schedule.weekdays
    ? 'with a day of the month and a day of the week, it is a setting of the server (`cron.match_dom_and_dow`) whether one or both have to match'
    : schedule;
}

/** Nest's `CronExpression` values all begin with seconds. */
function withoutSeconds(expression: string): string {
  const parts = expression.split(/\s+/);
  return parts.length === FIELDS.length + 1 && parts[0] === '0'
    ? parts.slice(1).join(' ')
    : expression;
}

/** The values in ascending order; `undefined` for all values; a text if something is wrong. */
function valuesOf(field: Field, text: string): number[] | string | undefined {
  if (text === '*') {
    return undefined;
  }
  const items = text.split(',').map((item) => itemValues(field, item));
  return items.includes(undefined)
    ? `pg_cron does not take "${text}" for the ${field.name}: it accepts *, values, ranges, lists, and steps of * and of ranges`
    : [...new Set(items.flatMap((item) => item ?? []))].sort((one, other) => one - other);
}

function itemValues(field: Field, item: string): number[] | undefined {
  const [match, first, last, step] = ITEM.exec(item.toLowerCase()) ?? [];
  if (match === undefined || (first !== undefined && last === undefined && step !== undefined)) {
    return undefined;
  }
  const from = first === undefined ? field.low : valueOf(field, first);
  const to = first === undefined ? highest(field) : valueOf(field, last ?? first);
  const by = Number(step ?? 1);
  const isRange = from !== undefined && to !== undefined && from <= to;
  if (!isRange || from < field.low || to > field.high || by < 1 || by > field.high) {
    return undefined;
  }
  return Array.from({ length: Math.floor((to - from) / by) + 1 }, (_, n) => from + n * by).map(
    (value) => (field.name === 'weekdays' ? value % 7 : value),
  );
}

/** For weekdays, 7 is Sunday again. */
function highest({ name, high }: Field): number {
  return name === 'weekdays' ? 6 : high;
}

function valueOf({ names, low }: Field, text: string): number | undefined {
  if (/^\d+$/.test(text)) {
    return Number(text);
  }
  const position = names?.indexOf(text) ?? -1;
  return position < 0 ? undefined : position + low;
}
