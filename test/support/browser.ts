import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Starts the Chromium installed on this machine. */
export function startBrowser(): Promise<Browser> {
  const { CHROMIUM_PATH } = process.env;
  const executablePath = CHROMIUM_PATH ?? PLACES.find((path) => existsSync(path));
  if (executablePath === undefined) {
    throw new Error(
      `The tests of the dashboard need Chromium, and found none of ${PLACES.join(', ')}. Install it (on Debian: apt-get install chromium), or say in CHROMIUM_PATH where it is.`,
    );
  }
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
}
