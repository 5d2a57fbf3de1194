import type { ShopProject } from './shop-project.js';

interface Step {
  title: string;
  play(project: ShopProject): Promise<void>;
}

const RUN = 'typeorm migration:run -d data-source.ts';
const REVERT = 'typeorm migration:revert -d data-source.ts';
const CHECK = 'matviews check';

/** The exit code of `check` if the database differs from the classes. */
const DRIFT = 2;

/** The life of a view across deployments. */
export const STORY: readonly Step[] = [
  {
    title: 'A project with one table',
    play: (project) => project.run(RUN, { says: /CreateOrders\d+ has been executed/ }),
  },
  {
    title: 'Somebody adds a view: CI notices that its migration is missing',
    play: async (project) => {
      await project.edit('1-add-the-view');
      await project.run(CHECK, { exitCode: DRIFT, says: /daily_revenue/ });
      await project.run('matviews generate migrations/AddDailyRevenue', {
        says: /add-daily-revenue\.ts/,
      });
      await project.run(RUN, { says: /AddDailyRevenue\d+ has been executed/ });
      await project.run(CHECK, { says: /The database matches the code/ });
      await project.showView(['day', 'revenue']);
    },
  },
  {
    title: 'Somebody changes the view: the next migration',
    play: async (project) => {
      await project.edit('2-change-it');
      await project.run(CHECK, { exitCode: DRIFT, says: /daily_revenue/ });
      await project.run('matviews generate migrations/CountOrders', { says: /count-orders\.ts/ });
      await project.run(RUN, { says: /CountOrders\d+ has been executed/ });
      await project.run(CHECK, { says: /The database matches the code/ });
      await project.showView(['day', 'revenue', 'order_count']);
    },
  },
  {
    title: 'The release is taken back: the view is what it was before',
    play: async (project) => {
      await project.run(REVERT, { says: /CountOrders\d+ has been reverted/ });
      await project.showView(['day', 'revenue']);
      await project.run(CHECK, { exitCode: DRIFT, says: /daily_revenue/ });
    },
  },
];
