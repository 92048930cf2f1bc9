// A link's secret stands behind the #, which browsers do not send: it goes into the form, and out of the address.

const field = document.getElementById("token");
if (location.hash.length > 1) {
  field.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
}
document.getElementById("incomplete").hidden = field.value !== "";
