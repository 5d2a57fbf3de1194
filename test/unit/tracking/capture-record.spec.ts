import { describe, expect, it } from '@jest/globals';
import { covers, effectiveCapture } from '../../../lib/tracking/capture-record.js';
import type { CaptureRecord, KnownViewRow } from '../../../lib/postgres/state.sql.js';
import { declared } from '../../support/schema-fixtures.js';

const table = (name: string) => ({ schema: 'Far away', name });

const record = (reads_sources: boolean, ...tables: string[]): CaptureRecord => ({
  reads_sources,
  tables: tables.map(table),
});

function effective(
  asked: CaptureRecord | null,
  remembered: CaptureRecord | null,
  { mayNarrow = false, version, knownVersion }: Circumstances = {},
): CaptureRecord | null {
  const view = {
    ...declared('a'),
    version,
    ...(asked && {
      freshness: {
        readsSources: asked.reads_sources,
        tables: asked.tables,
        skipsUnchanged: false,
      },
    }),
  };
  const known = { capture: remembered, definition_version: knownVersion ?? null };
  return effectiveCapture(view, known as KnownViewRow, mayNarrow);
}

interface Circumstances {
  mayNarrow?: boolean;
  version?: number;
  knownVersion?: string;
}

describe('effectiveCapture', () => {
  const sources = record(true);
  const both = record(true, 'b', `od"d`);

  it.each<[string, CaptureRecord | null, CaptureRecord | null, CaptureRecord | null]>([
    ['nothing and nothing', null, null, null],
    ['what is remembered alone', null, both, both],
    ['what is declared alone', both, null, both],
    ['more than is remembered', both, sources, both],
    ['less than is remembered', sources, both, both],
    ['other tables', record(true, `od"d`), record(false, 'b'), both],
    ['the same in another order', record(true, `od"d`, 'b'), both, both],
  ])('only grows: %s', (_, asked, remembered, result) => {
    expect(effective(asked, remembered)).toEqual(result);
  });

  it.each([null, sources])('is what is declared if narrowing is allowed: %j', (asked) => {
    expect(effective(asked, both, { mayNarrow: true })).toEqual(asked);
  });

  it('is what is remembered only if the database has a newer version', () => {
    const newer = { mayNarrow: true, version: 1, knownVersion: '2' };
    expect(effective(both, sources, newer)).toEqual(sources);
    expect(effective(both, null, newer)).toBeNull();
    expect(effective(both, null, { ...newer, version: 2 })).toEqual(both);
    expect(effective(both, null, { ...newer, version: undefined })).toEqual(both);
  });
});

describe('covers', () => {
  it('compares sources and each table', () => {
    expect(covers(null, null)).toBe(true);
    expect(covers(null, record(false, 'b'))).toBe(false);
    expect(covers(record(true, 'b'), record(false, 'b'))).toBe(true);
    expect(covers(record(false, 'b'), record(true))).toBe(false);
    expect(covers(record(true), record(false, 'b'))).toBe(false);
  });
});
