import {
  type ArgumentsHost,
  Catch,
  type ExceptionFilter,
  HttpStatus,
  Logger,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import {
  MaterializedViewError,
  RefreshError,
  RefreshTimeoutError,
  UnknownViewError,
} from 'nestjs-materialized-views';

/**
 * Maps the library's errors to HTTP statuses. A client gets only the code and the view, because the message and the cause may
 * contain PostgreSQL's error text. Errors with status 500 or above are logged.
 */
@Catch(MaterializedViewError)
export class MaterializedViewErrorFilter implements ExceptionFilter<MaterializedViewError> {
  private readonly logger = new Logger('Http');

  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(error: MaterializedViewError, host: ArgumentsHost): void {
    const { httpAdapter } = this.adapterHost;
    const statusCode = statusOf(error);
    if (statusCode >= HttpStatus.INTERNAL_SERVER_ERROR) {
      this.logger.error(error.message, error.stack);
    }
    const body = { statusCode, code: error.code, view: error.view };
    httpAdapter.reply(host.switchToHttp().getResponse(), body, statusCode);
  }
}

function statusOf(error: MaterializedViewError): HttpStatus {
  if (error instanceof UnknownViewError) {
    return HttpStatus.NOT_FOUND;
  }
  if (error instanceof RefreshTimeoutError) {
    return HttpStatus.GATEWAY_TIMEOUT;
  }
  return error instanceof RefreshError && error.isTransient
    ? HttpStatus.SERVICE_UNAVAILABLE
    : HttpStatus.INTERNAL_SERVER_ERROR;
}
