import { createHash } from 'node:crypto';
import { ICON } from './assets/icon.js';
import { SCRIPT } from './assets/script.js';
import { STYLE } from './assets/style.js';

/** A file that pages load. Its name changes with its content, so that browsers may cache it. */
export interface Asset {
  fileName: string;
  type: string;
  content: string;
}

function named(name: string, ending: string, type: string, content: string): Asset {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 12);
  return { fileName: `${name}.${hash}.${ending}`, type, content };
}

export const ASSETS = {
  style: named('style', 'css', 'text/css', STYLE),
  script: named('script', 'js', 'text/javascript', SCRIPT),
  icon: named('icon', 'svg', 'image/svg+xml', ICON),
};
