import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { defineConfig } from 'vitepress';

const root = path.resolve(import.meta.dirname, '..');

interface Page {
  text: string;
  link: string;
}

/** Leaves out pages that are not written yet. */
function section(text: string, pages: Record<string, string>) {
  const items: Page[] = Object.entries(pages)
    .map(([link, title]) => ({ text: title, link }))
    .filter(({ link }) => existsSync(path.join(root, link.endsWith('/') ? link : `${link}.md`)));
  return { text, collapsed: false, items };
}

/** The heading of a page, without the marks of code. */
function headingOf(page: string): string {
  const [, heading = page] = /^# (.*)$/m.exec(readFileSync(page, 'utf8')) ?? [];
  return heading.replaceAll('`', '');
}

function decisions() {
  const folder = path.join(root, 'decisions');
  const pages = readdirSync(folder).filter((name) => /^\d+.*\.md$/.test(name));
  const items = pages.sort().map((name) => ({
    text: headingOf(path.join(folder, name)),
    link: `/decisions/${path.basename(name, '.md')}`,
  }));
  return {
    text: 'Decisions',
    collapsed: true,
    items: [{ text: 'Overview', link: '/decisions/' }, ...items],
  };
}

export default defineConfig({
  title: 'nestjs-materialized-views',
  description: 'PostgreSQL materialized views for NestJS and TypeORM',
  cleanUrls: true,
  // Pages mention addresses such as http://localhost:3000.
  ignoreDeadLinks: 'localhostLinks',
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Guide', link: '/guide/first-view' },
      { text: 'Operations', link: '/operations/privileges' },
      { text: 'Reference', link: '/reference/' },
      { text: 'Troubleshooting', link: '/troubleshooting' },
    ],
    sidebar: [
      section('Guide', {
        '/guide/first-view': 'First view',
        '/guide/declaring-a-view': 'Declaring a view',
        '/guide/plain-views': 'Plain views',
        '/guide/choosing-a-mode': 'Choosing a mode',
        '/guide/on-demand': 'Refreshing on demand',
        '/guide/many-views': 'Many views',
        '/guide/staying-fresh': 'Staying fresh, and what it costs',
        '/guide/changing-a-view': 'Changing a view in production',
        '/guide/migrations': 'Migrations',
        '/guide/introspection': 'Starting from a database',
        '/guide/worker-and-web': 'Worker and web processes',
        '/guide/failures': 'When a refresh fails',
        '/guide/pausing-and-cancelling': 'Pausing and cancelling',
        '/guide/status-and-history': 'Status and history',
        '/guide/events': 'Events and tracing',
        '/guide/monitoring': 'Monitoring',
        '/guide/dashboard': 'Dashboard',
        '/guide/command-line': 'Command line',
        '/guide/schema-commands': 'Commands for the schema',
        '/guide/testing': 'Testing',
        '/guide/tenants': 'Tenants',
        '/guide/pg-cron': 'Schedules in pg_cron',
      }),
      section('Operations', {
        '/operations/privileges': 'Privileges',
        '/operations/pgbouncer': 'PgBouncer and other poolers',
        '/operations/replicas-and-failover': 'Replicas and failover',
        '/operations/standbys': 'Standbys that serve reads',
        '/operations/rolling-deploys': 'Rolling deploys',
        '/operations/several-applications': 'Several applications in one database',
        '/operations/sleeping-databases': 'Sleeping databases',
        '/operations/restore-and-upgrade': 'Restore and upgrade',
        '/operations/fleets': 'Fleets',
        '/operations/capacity': 'Capacity',
        '/operations/scaling-out': 'Scaling out',
      }),
      section('Reference', {
        '/reference/': 'Overview',
        '/reference/module-options': 'Module options',
        '/reference/errors': 'Errors by code',
        '/reference/events': 'Events and channels',
        '/reference/tables': 'Tables',
        '/reference/api/': 'API',
      }),
      section('Troubleshooting', { '/troubleshooting': 'By message' }),
      section('How it works', {
        '/how-it-works/': 'Promises and mechanisms',
      }),
      section('Coming from', {
        '/coming-from/taking-over': 'Taking over a view',
        '/coming-from/cron': 'Plain @Cron',
        '/coming-from/view-entity': 'TypeORM ViewEntity',
        '/coming-from/django-pgviews': 'django-pgviews',
        '/coming-from/scenic': 'scenic',
        '/coming-from/sqlalchemy-pgview': 'sqlalchemy-pgview',
        '/coming-from/pg-cron': 'pg_cron',
        '/coming-from/timescaledb': 'TimescaleDB',
      }),
      decisions(),
    ],
  },
});
