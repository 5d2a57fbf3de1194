import { BadRequestException } from '@nestjs/common';
import type { HistoryAllQuery } from '../engine/status-queries.js';
import { REFRESH_OUTCOMES, type RefreshOutcome } from '../status/refresh-history.js';

/** Which runs a page shows. */
export interface RunsFilter {
  /** As `schema.name`. */
  view?: string;
  outcome?: RefreshOutcome;
  since?: Date;
  until?: Date;
  olderThan?: NonNullable<HistoryAllQuery['olderThan']>;
}

/**
 * @throws BadRequestException if the query of a page is not one that its own links and form produce
 */
export function readRunsFilter(query: URLSearchParams): RunsFilter {
  const text = (name: string): string | undefined => query.get(name) || undefined;
  const outcome = text('outcome');
  const known = REFRESH_OUTCOMES.find((each) => each === outcome);
  if (known !== outcome) {
    throw new BadRequestException(`\`outcome\` must be one of ${REFRESH_OUTCOMES.join(', ')}.`);
  }
  const [startedAt, runId] = text('after')?.split(' ') ?? [];
  return {
    view: text('view'),
    outcome: known,
    since: instant('since', text('since')),
    until: instant('until', text('until')),
    olderThan:
      startedAt === undefined || runId === undefined
        ? undefined
        : { startedAt: instant('after', startedAt) ?? new Date(), runId },
  };
}

/** A form has no time zone, so its times are UTC. PostgreSQL's range of times is smaller than JavaScript's. */
function instant(name: string, text: string | undefined): Date | undefined {
  if (text === undefined) {
    return undefined;
  }
  const parsed = new Date(/(?:Z|[+-]\d\d:\d\d)$/.test(text) ? text : `${text}Z`);
  if (!/^\d{4}-/.test(text) || Number.isNaN(parsed.getTime())) {
    throw new BadRequestException(`\`${name}\` must be a time such as 2026-01-31T12:00.`);
  }
  return parsed;
}
