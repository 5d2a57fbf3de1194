import { describe, expect, it } from '@jest/globals';
import { viewName } from '../../../lib/definition/view-definition.js';
import { DemandQueue } from '../../../lib/refresh/demand.queue.js';
import { resolveRefreshOptions } from '../../../lib/refresh/refresh-options.js';
import type { RefreshRequest } from '../../../lib/refresh/refresh-request.js';
import type { RefreshResult } from '../../../lib/refresh/refresh-result.js';
import type { RefreshRunner } from '../../../lib/refresh/refresh.runner.js';
import { declared } from '../../support/schema-fixtures.js';

const view = declared('sales');
const joined = { view: viewName(view), outcome: 'joined' } as RefreshResult;

/** A runner whose runs end when the test says so. */
class ManualRunner {
  readonly requests: RefreshRequest[] = [];
  private readonly ends: (() => void)[] = [];

  async run(request: RefreshRequest): Promise<RefreshResult> {
    this.requests.push(request);
    await new Promise<void>((resolve) => this.ends.push(resolve));
    return joined;
  }

  endAll(): void {
    this.ends.splice(0).forEach((end) => end());
  }
}

describe('DemandQueue', () => {
  const ask = (queue: DemandQueue): Promise<RefreshResult> =>
    queue.refresh(view, resolveRefreshOptions(view, {}));

  it.each([
    ['as long as nothing is decided', undefined, 1],
    ['until it is decided that nothing is refreshed', 'onDecided', 2],
    ['until the refresh begins', 'onBegin', 2],
  ] as const)('lets callers share %s', async (_, event, runCount) => {
    const runner = new ManualRunner();
    const queue = new DemandQueue(runner as unknown as RefreshRunner);
    const first = ask(queue);
    if (event !== undefined) {
      runner.requests[0]?.[event]?.();
    }
    const second = ask(queue);
    expect(runner.requests).toHaveLength(runCount);
    runner.endAll();
    expect(await Promise.all([first, second])).toEqual([joined, joined]);
  });
});
