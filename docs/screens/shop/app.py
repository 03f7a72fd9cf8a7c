import shop

import safepatch
from safepatch.decorators import log_calls, retry, ttl_cache

safepatch.apply(
    "shop:price", ttl_cache(ttl=60), name="price-cache", signature="(item, *, quantity=1)"
)
safepatch.apply("shop:price", log_calls(), name="price-log")
safepatch.apply("shop:Checkout.pay", retry(on=OSError, attempts=3), name="pay-retry")
safepatch.register("report-retry", "reports:send", retry(on=OSError))
safepatch.apply_all()

print(safepatch.explain())
