import { Session } from 'node:inspector/promises';
import { fileURLToPath } from 'node:url';

/** Records which functions are called, using V8's precise coverage. */
export class CalledFunctions {
  static async watch(): Promise<CalledFunctions> {
    const session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    return new CalledFunctions(session);
  }

  private constructor(private readonly session: Session) {}

  /** Stops recording. Returns the names of the functions called since `watch`, by file. */
  async end(): Promise<Map<string, Set<string>>> {
    const { result } = await this.session.post('Profiler.takePreciseCoverage');
    this.session.disconnect();
    const called = new Map<string, Set<string>>();
    for (const { url, functions } of result) {
      const file = url.startsWith('file:') ? fileURLToPath(url) : url;
      const names = called.get(file) ?? new Set();
      functions
        .filter(({ ranges }) => ranges.some(({ count }) => count > 0))
        .forEach(({ functionName }) => names.add(functionName));
      called.set(file, names);
    }
    return called;
  }
}
