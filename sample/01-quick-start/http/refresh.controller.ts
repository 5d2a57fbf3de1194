import { Controller, HttpCode, Param, Post } from '@nestjs/common';
import { type RefreshResult, RefreshService } from 'nestjs-materialized-views';
import { SCHEMA } from '../tables/schema.constants.js';

/** Anyone can call this in the sample. In your application, protect it with a guard. */
@Controller('refresh')
export class RefreshController {
  constructor(private readonly refreshes: RefreshService) {}

  /** Answers once the view is up to date, whichever process refreshed it. Concurrent callers share one refresh. */
  @Post(':view')
  @HttpCode(200)
  async refresh(@Param('view') view: string): Promise<RefreshResult> {
    return this.refreshes.refresh(`${SCHEMA}.${view}`);
  }
}
