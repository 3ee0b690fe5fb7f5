"""Routes. Each file of ``api`` names its own in ``urlpatterns``."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from annotator.api import (
    annotations,
    answers,
    auth,
    bundles,
    cells,
    checks,
    composition,
    datasets,
    drafts,
    exports,
    flags,
    flows,
    health,
    images,
    learning,
    members,
    pages,
    places,
    predictions,
    queue,
    queue_listing,
    runs,
    searches,
    strategies,
    versions,
)

NOUNS = (
    auth,
    datasets,
    members,
    images,
    predictions,
    flows,
    annotations,
    drafts,
    flags,
    queue,
    queue_listing,
    answers,
    places,
    cells,
    checks,
    strategies,
    runs,
    searches,
    versions,
    composition,
    learning,
    exports,
    bundles,
)
v1 = [
    *(pattern for noun in NOUNS for pattern in noun.urlpatterns),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="schema")),
]
urlpatterns = [
    path("api/v1/", include(v1)),
    path("admin/login/", auth.throttled(admin.site.login)),
    path("admin/", admin.site.urls),
    *health.urlpatterns,
    *pages.urlpatterns,
]

handler400 = "annotator.api.errors.bad_request"
handler403 = "annotator.api.errors.forbidden"
handler404 = "annotator.api.errors.not_found"
handler500 = "annotator.api.errors.server_error"
