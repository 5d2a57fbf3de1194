import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { BrowserYear } from '../views/browser-year.view.js';
import { type LiveFindOptions, LiveQueryService } from '../views/live-query.service.js';
import { compare, type Comparison } from './comparison.js';

/** What the page draws: desktop browsers that release often. */
const BROWSERS = ['chrome', 'edge', 'firefox', 'safari'];

export interface BrowserAdoption extends Comparison<BrowserYear> {
  browser: string;
}

/** How many features browsers had by the end of each year, from the view and from the live query. */
@Injectable()
export class AdoptionService {
  constructor(
    @InjectRepository(BrowserYear) private readonly browserYears: Repository<BrowserYear>,
    private readonly live: LiveQueryService,
  ) {}

  async read(): Promise<BrowserAdoption[]> {
    const adoptions: BrowserAdoption[] = [];
    // One after another: side by side they would slow each other down, and the times say less.
    for (const browser of BROWSERS) {
      const options: LiveFindOptions<BrowserYear> = { where: { browser }, order: { year: 'ASC' } };
      const comparison = await compare(
        () => this.browserYears.find(options),
        () => this.live.find(BrowserYear, options),
      );
      adoptions.push({ browser, ...comparison });
    }
    return adoptions;
  }
}
