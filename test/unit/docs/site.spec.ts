import { expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const GENERATED = /^(?:reference.api|\.vitepress)/;

const read = (page: string): string => readFileSync(path.join('docs', page), 'utf8');

/** The address of a page, as in `/guide/events`. */
const addressOf = (page: string): string =>
  `/${page.replaceAll(path.sep, '/').replace(/(?:index)?\.md$/, '')}`;

/** The anchor that VitePress gives to a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '-')
    .replaceAll(/^-|-$/g, '');

const pages = readdirSync('docs', { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.md') && !GENERATED.test(name),
);

const anchors = new Map(
  pages.map((page) => [
    addressOf(page),
    [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading)),
  ]),
);

it('has each page of docs/ in its sidebar', () => {
  const sidebar = readFileSync('docs/.vitepress/config.ts', 'utf8');
  const written = pages.filter((page) => page !== 'index.md' && !page.startsWith('decisions'));
  expect(written.filter((page) => !sidebar.includes(`'${addressOf(page)}'`))).toEqual([]);
});

// VitePress checks the pages of links, but not their headings.
it('has the heading of each link between its pages', () => {
  const links = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\(([\w./-]*)#([\w-]+)\)/g)].map(([, target = '', anchor = '']) => ({
      page,
      target: target === '' ? addressOf(page) : path.posix.resolve(addressOf(page), '..', target),
      anchor,
    })),
  );
  expect(links.length).toBeGreaterThan(10);
  expect(links.filter(({ target, anchor }) => !anchors.get(target)?.includes(anchor))).toEqual([]);
});
