import { expect, it } from '@jest/globals';
import type { DataSourceContext } from '../../../lib/definition/data-source.context.js';
import { Sweeper } from '../../../lib/schedule/sweeper.js';
import type { TickRunner } from '../../../lib/schedule/tick.runner.js';

it('warns once while no sweep can be made, however often it is tried', async () => {
  const warnings: string[] = [];
  const context = {
    name: 'default',
    options: { sweepIntervalMs: 1 },
    log: { warn: (message: string) => warnings.push(message) },
  } as unknown as DataSourceContext;
  let sweeper: Sweeper | undefined;
  await new Promise<void>((resolve) => {
    let count = 0;
    const ticks: Pick<TickRunner, 'sweep'> = {
      sweep: async () => {
        if (++count === 5) {
          resolve();
        }
        return Promise.reject(new Error('the database is away'));
      },
    };
    sweeper = new Sweeper(context, ticks as TickRunner, { watched: [], scheduled: () => [] });
    sweeper.start(0);
  });
  sweeper?.stop();
  expect(warnings).toEqual([expect.stringContaining('the database is away')]);
});
