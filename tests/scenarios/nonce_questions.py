"""Questions that no model can answer from memory: each answer is a nonce made per run.

Data only, written before any prompt of the tool loop was. A nonce stands in exactly one place: a
file, a git log, a database, or it is the clock. Names in braces are nonces; `NONCES` says of what
kind each is. How an answer is judged:

- it contains every string of `expects` (case and thousands separators aside), or for the clock
  the date or time at which it was asked;
- it names at most one nonce it was not asked for, so that printing a whole file is no answer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        id: short name.
        place: where the answer stands: `files`, `git`, `database` or `clock`.
        ask: what a person would type.
        expects: nonces the answer has to contain; for the clock `date:<zone>` or `time:<zone>`.
    """

    id: str
    place: str
    ask: str
    expects: tuple[str, ...]


@dataclass(frozen=True)
class Commit:
    """One commit of the planted repository; `changes` are file names and their new text."""

    author: str
    message: str
    changes: dict[str, str]


NONCES: dict[str, str] = {
    # files
    "access_code": "code",
    "decoy_code": "code",
    "larkspur_maintainer": "person",
    "osprey_maintainer": "person",
    "guest_password": "code",
    "staff_password": "code",
    "staging_port": "number",
    "staging_metrics_port": "number",
    "review_room": "word",
    "review_chair": "person",
    "printer_serial": "code",
    "scanner_serial": "code",
    "beamer_serial": "code",
    "alarm_contact": "person",
    "alarm_phone": "number",
    "travel_limit": "number",
    "meal_limit": "number",
    "thursday_errand": "word",
    "monday_errand": "word",
    "scanner_licence": "code",
    "backup_error": "code",
    "older_backup_error": "code",
    "harbour_new_name": "word",
    "pallets_march": "number",
    "pallets_april": "number",
    # git
    "rounding_author": "person",
    "first_author": "person",
    "other_author": "person",
    "latest_author": "person",
    "latest_word": "word",
    "release_version": "version",
    "older_version": "version",
    "login_ticket": "number",
    "search_ticket": "number",
    "codename": "word",
    "branch_word": "word",
    "retry_limit": "number",
    "changed_file": "word",
    # database
    "order_customer": "person",
    "other_customer": "person",
    "third_customer": "person",
    "order_total": "number",
    "refund_a": "number",
    "refund_b": "number",
    "solberg_city": "word",
    "other_city": "word",
    "logistics_extension": "number",
    "sales_extension": "number",
    "order_product": "word",
    "scarce_product": "word",
    "plenty_product": "word",
    "newest_employee": "person",
    "senior_employee": "person",
    "kettle_supplier": "word",
    "lamp_supplier": "word",
    "lamp_stock": "number",
}

SUMS: dict[str, tuple[str, ...]] = {"refund_sum": ("refund_a", "refund_b")}
"""Numbers that stand nowhere: what these nonces add up to."""

FILES: dict[str, str] = {
    "README.md": (
        "# Workspace\n\nNotes, settings and logs of the Bergen office.\n\n"
        "## Projects and maintainers\n"
        "- Osprey: maintained by {osprey_maintainer}\n"
        "- Larkspur: maintained by {larkspur_maintainer}\n"
    ),
    "notes/projects.txt": (
        "Projects of this year\n\nHeron: on hold until the autumn.\n"
        "Kingfisher: runs. The access code is {access_code}; do not mail it.\n"
        "Puffin: finished. Its old badge number {decoy_code} is no longer valid.\n"
    ),
    "notes/harbour.md": (
        "# Harbour project\n\nHanna did not like the working title. Since Tuesday the harbour "
        "project is called {harbour_new_name}. Budget and dates stay as they are.\n"
    ),
    "office/wifi.txt": (
        "Wireless networks\n\nStaff network: bergen-staff, password {staff_password}\n"
        "Guest network: bergen-guest, password {guest_password}\n"
    ),
    "config/staging.toml": (
        '[server]\nhost = "staging.internal"\nport = {staging_port}\n\n'
        "[metrics]\nenabled = true\nport = {staging_metrics_port}\n"
    ),
    "meetings/quarterly-review.md": (
        "# Quarterly review\n\n- When: the last Friday of the quarter, 10:00\n"
        "- Room: {review_room}\n- Chair: {review_chair}\n- Bring: the printed figures\n"
    ),
    "office/inventory.csv": (
        "device,serial number,bought\nlabel printer,{printer_serial},2024\n"
        "document scanner,{scanner_serial},2023\nbeamer,{beamer_serial},2021\n"
    ),
    "runbooks/cold-store.md": (
        "# Cold store alarm\n\n1. Close the doors and note the temperature.\n"
        "2. Call {alarm_contact} on extension {alarm_phone}, day or night.\n"
        "3. Do not restart the compressor yourself.\n"
    ),
    "policies/travel.md": (
        "# Travel policy\n\nHotels are booked by the office.\n"
        "The limit for one trip is {travel_limit} euros.\n"
        "Meals are refunded up to {meal_limit} euros in all.\n"
    ),
    "todo.txt": (
        "Monday: call the {monday_errand} people back\nTuesday: nothing\n"
        "Wednesday: water the plants\nThursday: pick up the {thursday_errand} parcel\n"
    ),
    "devices/scanner.json": (
        '{{"device": "document scanner", "resolution_dpi": 600,\n'
        ' "licence_key": "{scanner_licence}", "duplex": true}}\n'
    ),
    "logs/backup.log": (
        "2031-02-01 02:00 backup started\n"
        "2031-02-01 02:14 backup failed with error {older_backup_error}\n"
        "2031-02-02 02:00 backup started\n2031-02-02 02:31 backup complete\n"
        "2031-02-03 02:00 backup started\n"
        "2031-02-03 02:09 backup failed with error {backup_error}\n"
    ),
    "warehouse/deliveries.csv": (
        "date,supplier,pallets\n3 March,Nordfisk,{pallets_march}\n"
        "9 April,Nordfisk,{pallets_april}\n"
    ),
}

COMMITS: tuple[Commit, ...] = (
    Commit(
        "{first_author}",
        "Start of the shop, codename {codename}",
        {"shop.py": "RETRY_LIMIT = 3\n", "README.md": "The shop.\n"},
    ),
    Commit("{other_author}", "Add the search page", {"search.py": "PAGE_SIZE = 20\n"}),
    Commit("{other_author}", "Release version {older_version}", {"VERSION": "{older_version}\n"}),
    Commit(
        "{first_author}",
        "Make the search faster (ticket {search_ticket})",
        {"search.py": "PAGE_SIZE = 50\n"},
    ),
    Commit("{rounding_author}", "Fix the rounding of invoices", {"invoice.py": "DIGITS = 2\n"}),
    Commit(
        "{first_author}",
        "Stop the login from timing out (ticket {login_ticket})",
        {"login.py": "TIMEOUT_S = 60\n"},
    ),
    Commit("{other_author}", "Raise the retry limit", {"shop.py": "RETRY_LIMIT = {retry_limit}\n"}),
    Commit(
        "{rounding_author}",
        "Release version {release_version}, the newest one",
        {"VERSION": "{release_version}\n"},
    ),
    Commit(
        "{latest_author}", "Describe the {latest_word} workflow", {"README.md": "The shop, told.\n"}
    ),
)

BRANCH = "feature/{branch_word}"
"""A second branch, at the same commit as `main`."""

UNCOMMITTED: dict[str, str] = {"{changed_file}.py": "DRAFT = True\n"}
"""Written and staged, not committed."""

SCHEMA: tuple[str, ...] = (
    "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT)",
    "CREATE TABLE suppliers (id INTEGER PRIMARY KEY, name TEXT)",
    "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, stock INTEGER,"
    " supplier_id INTEGER REFERENCES suppliers(id))",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers(id),"
    " product_id INTEGER REFERENCES products(id), total INTEGER, status TEXT, placed_on TEXT)",
    "CREATE TABLE employees (id INTEGER PRIMARY KEY, name TEXT, role TEXT, extension TEXT,"
    " hired_on TEXT)",
)

ROWS: dict[str, tuple[tuple[str | int, ...], ...]] = {
    "customers": (
        (1, "Ingrid Solberg", "{solberg_city}"),
        (2, "{order_customer}", "{other_city}"),
        (3, "{other_customer}", "{other_city}"),
        (4, "{third_customer}", "{other_city}"),
    ),
    "suppliers": ((1, "{kettle_supplier}"), (2, "{lamp_supplier}")),
    "products": (
        (1, "Copper kettle", 260, 1),
        (2, "Desk lamp", "{lamp_stock}", 2),
        (3, "{scarce_product}", 2, 2),
        (4, "{plenty_product}", 900, 1),
        (5, "{order_product}", 75, 1),
    ),
    "orders": (
        (1042, 2, 1, 55, "paid", "2031-01-05"),
        (1057, 3, 2, "{order_total}", "paid", "2031-01-09"),
        (1063, 4, 5, 80, "shipped", "2031-01-11"),
        (1064, 1, 2, "{refund_a}", "refunded", "2031-01-12"),
        (1071, 3, 1, "{refund_b}", "refunded", "2031-01-20"),
    ),
    "employees": (
        (1, "{senior_employee}", "head of sales", "{sales_extension}", "2019-04-01"),
        (2, "Per Dahl", "head of logistics", "{logistics_extension}", "2022-09-15"),
        (3, "{newest_employee}", "bookkeeper", "3", "2030-11-02"),
    ),
}

DATABASE = "shop"
DATABASE_DESCRIPTION = "customers, orders, products, suppliers and employees of the shop"

QUESTIONS: tuple[Question, ...] = (
    # --- files
    Question(
        "access", "files", "What is the access code in notes/projects.txt?", ("{access_code}",)
    ),
    Question(
        "maintainer",
        "files",
        "According to README.md, who maintains Larkspur?",
        ("{larkspur_maintainer}",),
    ),
    Question(
        "wifi",
        "files",
        "What's the password of the guest wifi at the office?",
        ("{guest_password}",),
    ),
    Question(
        "port",
        "files",
        "Which port does the staging server listen on? It should be in config/staging.toml.",
        ("{staging_port}",),
    ),
    Question("room", "files", "In which room is the quarterly review held?", ("{review_room}",)),
    Question(
        "serial",
        "files",
        "I need the serial number of our label printer, please.",
        ("{printer_serial}",),
    ),
    Question(
        "alarm",
        "files",
        "Who has to be called when the cold store alarm rings?",
        ("{alarm_contact}",),
    ),
    Question(
        "travel",
        "files",
        "How many euros may one trip cost under policies/travel.md?",
        ("{travel_limit}",),
    ),
    Question(
        "thursday",
        "files",
        "Look into todo.txt: which parcel do I have to pick up on Thursday?",
        ("{thursday_errand}",),
    ),
    Question(
        "licence",
        "files",
        "Find the licence key in devices/scanner.json for me.",
        ("{scanner_licence}",),
    ),
    Question(
        "backup",
        "files",
        "What error did the most recent failed backup in logs/backup.log end with?",
        ("{backup_error}",),
    ),
    Question(
        "harbour", "files", "What is the harbour project called now?", ("{harbour_new_name}",)
    ),
    Question(
        "pallets",
        "files",
        "How many pallets came in on 3 March according to warehouse/deliveries.csv?",
        ("{pallets_march}",),
    ),
    # --- git
    Question(
        "rounding",
        "git",
        "Who wrote the commit that says 'Fix the rounding of invoices'?",
        ("{rounding_author}",),
    ),
    Question(
        "latest-message",
        "git",
        "What does the message of the latest commit say?",
        ("{latest_word}",),
    ),
    Question(
        "latest-author", "git", "Who made the most recent commit in the repo?", ("{latest_author}",)
    ),
    Question(
        "release",
        "git",
        "Which version number does the newest release commit in the git log announce?",
        ("{release_version}",),
    ),
    Question(
        "ticket",
        "git",
        "Which ticket number is mentioned in the commit about the login timing out?",
        ("{login_ticket}",),
    ),
    Question(
        "codename",
        "git",
        "What codename does the very first commit of the git history mention?",
        ("{codename}",),
    ),
    Question(
        "branch",
        "git",
        "Apart from main, which branch is there in the git repository?",
        ("{branch_word}",),
    ),
    Question(
        "retries",
        "git",
        "To what value did the commit 'Raise the retry limit' set RETRY_LIMIT?",
        ("{retry_limit}",),
    ),
    Question(
        "staged",
        "git",
        "Which new file in the git repository is staged but not committed yet?",
        ("{changed_file}",),
    ),
    # --- database
    Question("customer", "database", "Which customer placed order 1042?", ("{order_customer}",)),
    Question("total", "database", "What is the total of order 1057?", ("{order_total}",)),
    Question(
        "city",
        "database",
        "In which city does our customer Ingrid Solberg live?",
        ("{solberg_city}",),
    ),
    Question(
        "extension",
        "database",
        "What is the phone extension of the head of logistics?",
        ("{logistics_extension}",),
    ),
    Question(
        "product", "database", "Which product was ordered with order 1063?", ("{order_product}",)
    ),
    Question(
        "scarce",
        "database",
        "Look in the shop database: which product has the lowest stock?",
        ("{scarce_product}",),
    ),
    Question(
        "refunds",
        "database",
        "What do the totals of all refunded orders add up to?",
        ("{refund_sum}",),
    ),
    Question(
        "newest",
        "database",
        "Which employee was hired most recently?",
        ("{newest_employee}",),
    ),
    Question(
        "supplier", "database", "Which supplier delivers the Copper kettle?", ("{kettle_supplier}",)
    ),
    Question(
        "stock", "database", "How many pieces of the Desk lamp are in stock?", ("{lamp_stock}",)
    ),
    # --- the clock
    Question("today", "clock", "What is today's date?", ("date:UTC",)),
    Question("tokyo", "clock", "What time is it in Tokyo right now?", ("time:Asia/Tokyo",)),
    Question("now-utc", "clock", "What is the current time in UTC?", ("time:UTC",)),
    Question(
        "new-york",
        "clock",
        "How late is it at the moment in New York?",
        ("time:America/New_York",),
    ),
)
