import type { RefreshResult } from 'nestjs-materialized-views';
import { DASHBOARD_PATH, ENDPOINTS } from '../http/endpoints.constants.js';
import { SCHEMA } from '../tables/schema.constants.js';
import type { Timing } from './self-request.js';

/**
 * For CI: requests what the timings left out, and prints a line for each answer.
 *
 * @returns whether all answers are as expected
 */
export async function selfCheck(baseUrl: string, timings: Timing[]): Promise<boolean> {
  const checks = [
    ...timings.map(checkTiming),
    await checkPage(`${baseUrl}/`, 'firefox'),
    await checkPage(`${baseUrl}${DASHBOARD_PATH}/`, `${SCHEMA}.browser_year`),
    ...(await Promise.all(
      ENDPOINTS.filter(({ method }) => method === 'POST').map(({ path }) =>
        checkRefresh(baseUrl, path),
      ),
    )),
    await checkUnknownView(baseUrl),
  ];
  checks.forEach(({ isRight, what }) => console.log(`  ${isRight ? 'right' : 'WRONG'}  ${what}`));
  return checks.every(({ isRight }) => isRight);
}

interface Check {
  isRight: boolean;
  what: string;
}

function checkTiming({ path, rowCount, isSameAnswer }: Timing): Check {
  return {
    isRight: isSameAnswer && rowCount > 0,
    what: `GET ${path}: ${rowCount} rows, ${isSameAnswer ? 'the same' : 'not the same'} from view and tables`,
  };
}

/** Checks that a page responds and contains `shown`. */
async function checkPage(url: string, shown: string): Promise<Check> {
  const response = await fetch(url);
  const hasIt = (await response.text()).includes(shown);
  return {
    isRight: response.status === 200 && hasIt,
    what: `GET ${url}: ${response.status}, ${hasIt ? 'with' : 'without'} ${shown}`,
  };
}

async function checkRefresh(baseUrl: string, path: string): Promise<Check> {
  const response = await fetch(baseUrl + path, { method: 'POST' });
  const body = await response.text();
  const result = JSON.parse(body) as Partial<RefreshResult>;
  return {
    // `joined` if the request shared a scheduled refresh that began after it.
    isRight: response.status === 200 && ['refreshed', 'joined'].includes(result.outcome ?? ''),
    what: `POST ${path}: ${response.status} ${body}`,
  };
}

async function checkUnknownView(baseUrl: string): Promise<Check> {
  const response = await fetch(`${baseUrl}/refresh/nothing`, { method: 'POST' });
  return {
    isRight: response.status === 404,
    what: `POST /refresh/nothing: ${response.status} ${await response.text()}`,
  };
}
