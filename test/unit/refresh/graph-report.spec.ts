import { describe, expect, it } from '@jest/globals';
import {
  type RefreshError,
  RefreshLockError,
  ViewQueryError,
} from '../../../lib/errors/refresh.errors.js';
import {
  graphReport,
  graphSummary,
  type GraphViewReport,
} from '../../../lib/refresh/graph-report.js';
import { RefreshGraphError } from '../../../lib/refresh/refresh-graph.error.js';

const failed = (view: string, error: RefreshError = new ViewQueryError('no')): GraphViewReport => ({
  view,
  dataSource: 'default',
  outcome: 'failed',
  error,
});

const leftOut = (view: string): GraphViewReport => ({
  view,
  dataSource: 'default',
  outcome: 'upstream_failed',
  failedDependencies: ['public.a'],
});

describe('graphSummary', () => {
  it('counts views, and names those that failed and those that were left out', () => {
    const report = graphReport([failed('public.a'), leftOut('public.b'), leftOut('public.c')], 5);
    expect(graphSummary(report)).toBe(
      '3 views: 1 failed, 2 upstream_failed. Failed: "public.a" (MV_VIEW_QUERY_FAILED). Left out because of that: "public.b", "public.c".',
    );
    expect(report.counts).toEqual({
      refreshed: 0,
      joined: 0,
      skipped: 0,
      failed: 1,
      upstream_failed: 2,
      aborted: 0,
    });
  });

  it('does not name too many views', () => {
    const many = Array.from({ length: 13 }, (_, index) => failed(`public.v${index}`));
    expect(graphSummary(graphReport(many, 5))).toMatch(
      /"public\.v9" \(MV_VIEW_QUERY_FAILED\) and 3 more\.$/,
    );
  });

  it('says that there were no views', () => {
    expect(graphSummary(graphReport([], 0))).toBe('0 views: none.');
  });
});

describe('RefreshGraphError', () => {
  it('has the only error as its cause, or all of them', () => {
    const one = new ViewQueryError('one');
    const other = new RefreshLockError('other');
    expect(new RefreshGraphError(graphReport([failed('a', one)], 5)).cause).toBe(one);
    const both = new RefreshGraphError(graphReport([failed('a', one), failed('b', other)], 5));
    expect((both.cause as AggregateError).errors).toEqual([one, other]);
  });

  it('is transient if all failures are', () => {
    const passing = failed('a', new RefreshLockError('other'));
    const isTransient = (...views: GraphViewReport[]): boolean =>
      new RefreshGraphError(graphReport(views, 5)).isTransient;
    expect(isTransient(passing, leftOut('b'))).toBe(true);
    expect(isTransient(passing, failed('b'))).toBe(false);
    expect(isTransient({ view: 'a', dataSource: 'default', outcome: 'aborted' })).toBe(false);
  });
});
