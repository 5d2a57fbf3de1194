import type { Comparison } from '../http/comparison.js';
import { ENDPOINTS } from '../http/endpoints.constants.js';

/** Requests for each GET endpoint. The first ones are slower, because caches are cold. */
const REQUEST_COUNT = 5;

export interface Timing {
  path: string;
  rowCount: number;
  /** The medians of all requests. */
  viewMs: number;
  liveMs: number;
  isSameAnswer: boolean;
}

/** Requests the endpoints that compare a view with the live query. */
export async function requestTimings(baseUrl: string): Promise<Timing[]> {
  const timings: Timing[] = [];
  for (const { path } of ENDPOINTS.filter(({ method }) => method === 'GET')) {
    const answers: Comparison<unknown>[] = [];
    for (let count = 0; count < REQUEST_COUNT; count++) {
      const response = await fetch(baseUrl + path);
      if (!response.ok) {
        throw new Error(`GET ${path} answered ${response.status}`);
      }
      answers.push((await response.json()) as Comparison<unknown>);
    }
    timings.push({
      path,
      rowCount: answers[0]?.rows.length ?? 0,
      viewMs: median(answers.map(({ viewMs }) => viewMs)),
      liveMs: median(answers.map(({ liveMs }) => liveMs)),
      isSameAnswer: answers.every(({ isSameAnswer }) => isSameAnswer),
    });
  }
  return timings;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
